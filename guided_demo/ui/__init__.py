"""One canvas for Gradio and Jupyter."""
