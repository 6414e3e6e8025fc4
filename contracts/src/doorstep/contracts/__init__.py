"""The published contracts of Doorstep: events, topics, facts, needs, codes and feeds."""
