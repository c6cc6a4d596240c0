"""What a user wrote, parsed: one spelling, every default, and a refusal that names the field."""
