"""A plain peer of the product: the same journey as a competent team would ordinarily write it.

FastAPI, SQLAlchemy's ORM and aiokafka; one process a service; one message a transaction; published after the commit;
offsets committed message by message. It has the same engines with the same durability, checks the same tokens, takes
the same records with the same validation, encrypts personal columns (one key for all) and the departments' feeds (the
product's own JWE), and keeps an audit row of each action. It has no outbox, no numbers, no dead letters, no keys per
subject, no Merkle log, no policies in files, no rules in a table and no page of journeys: what it lacks makes it
faster, not slower.
"""
