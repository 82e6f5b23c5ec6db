"""HTML that others wrote: what of it may be shown, and the frame that it is shown in."""
