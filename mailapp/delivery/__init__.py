"""Mail from outside: any RFC 5322 message read, whatever state it is in, and put into a mailbox."""
