"""Where tokens come from: one file a lane, and what they share. The engine sees only ports.Provider."""
