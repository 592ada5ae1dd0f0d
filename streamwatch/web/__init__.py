"""The page: a shell in the reader's language and static files of our own. All that it shows comes from the API."""
