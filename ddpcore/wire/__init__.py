"""What travels: EJSON values, document ids and the random streams both ends share."""

__all__: list[str] = []
