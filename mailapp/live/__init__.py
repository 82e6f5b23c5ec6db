"""Events to open pages: that something of an account changed, on whichever instance it did.

`news` is what instances tell each other by Redis, `hub` holds the open connections of a worker,
`views` is where pages connect, or ask by themselves where they can't.

An event says only how far the account's change counter has come. The page then asks for itself
anew, so that there is one way in which a page is made, and an event that is lost costs nothing but
time: whoever connects says which number it knows, and is told at once if there is a later one.
"""
