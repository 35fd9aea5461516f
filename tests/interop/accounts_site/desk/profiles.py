def profile(user):
    """What people see of themselves."""
    return {"first_name": user.first_name}
