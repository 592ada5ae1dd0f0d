"""Who is asking and what they may do: API keys, accounts, sessions. They decide nothing about cameras."""
