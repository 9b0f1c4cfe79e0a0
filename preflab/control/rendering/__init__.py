"""Pictures and videos of what agents do."""
