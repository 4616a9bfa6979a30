"""The network: no gradio, no jupyter, no user state."""
