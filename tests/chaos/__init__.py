"""What happens when: faults in a real instance, and how long the agent takes to tell and to heal."""
