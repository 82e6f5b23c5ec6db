"""What mail is: addresses, messages whose content never changes, and their RFC 5322 text."""
