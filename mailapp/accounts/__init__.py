"""Who you are: sign-up, log-in, log-out, the password and your sessions."""
