"""Finding mail: what a person typed, what a message is found by, a page of what matches."""
