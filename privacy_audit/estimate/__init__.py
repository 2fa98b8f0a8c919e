"""From counts and scores to statements about epsilon."""
