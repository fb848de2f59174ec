"""Side by side with the peers, interleaved in one process, so that the machine's moods cancel."""
