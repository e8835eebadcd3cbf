"""Real recordings as sound: a shelf of them, found by caption, class or picture, placed at the onsets of a clip."""
