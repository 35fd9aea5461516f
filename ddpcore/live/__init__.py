"""Live data, shared by every session of the process: documents, observers, crossbar, fence."""

__all__: list[str] = []
