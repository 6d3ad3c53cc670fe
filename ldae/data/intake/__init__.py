"""Intake: reading the tables and folders of a cohort as they come.

`names` knows the columns that converters and public data sets use; `settings` are a study's own
names and rules; `tables` reads text of any delimiter; `cells` reads single values; `images` finds
the scans; `participants` and `visits` put both together; `copies` finds one scan under two names;
`notices` collects what was left out or decided. :mod:`ldae.data.bids` makes the table of scans from
them.
"""
