"""Pictures, with matplotlib (``pip install 'backnorm[plot]'``).  Nothing else imports this."""
