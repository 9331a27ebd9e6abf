"""The protocol's steps and commits, shared by every door and every upkeep duty.

They know ports and records, and no door.
"""
