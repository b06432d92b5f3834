"""A report generator in the manner of LLaVA: vision encoder, projection, language model, finding head.

Nothing here is imported before it is asked for: `candidate` opens a checkpoint, `model` and
`processor` are what training and export build on.
"""
