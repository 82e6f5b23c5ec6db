"""Contacts: people one has written to, and the directory of this service; found as one types."""
