"""What travels: EJSON values, document ids and the random streams both ends share."""
