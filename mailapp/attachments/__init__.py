"""Attachments: the store and its adapters, uploading, downloading, collecting what nobody needs."""
