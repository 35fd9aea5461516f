from ddpcore import hookimpl


@hookimpl
def ddpcore_second_factor(user, code):
    """Some are asked for the name of their pet."""
    return code == user.last_name if user.last_name else None
