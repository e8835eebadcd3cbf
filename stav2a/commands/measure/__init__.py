"""Commands that measure models and folders of sounds: scores, tables, time and memory."""
