"""Text that was said and judged, and how it gets in and out. Only ``rows`` imports torch.

dialogue    who said what, in order
comparison  several replies to one prompt and what a judge said of them
load        ``load_comparisons``: a file, a folder, the starter set or a hub data set -> comparisons
files hub   where records come from: local files; the ``datasets`` library
sources/    one small file per format: recognise a record, read it, write it
write       ``write_comparisons``: comparisons -> a file in one of those formats
split       parts that share no prompt
prompts     prompts alone
rows        comparisons as token ids: one prefix, several branches
inspect     what a data set looks like, before anyone trains on it
"""
