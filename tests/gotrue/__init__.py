"""Supabase's API on the embedded provider: recorded exchanges with the real server, and the official clients."""
