"""The adapter SDK: interfaces, models, data, partitions, aggregators and codecs."""
