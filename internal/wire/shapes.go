package wire

// shapes are the requests that this package can decode, by API key. A key that
// is to be served needs its shape here; TestShapesMatchTheDecoder compares each
// with the generated encoder, version by version.
var shapes = map[int16]shape{
	0: { // Produce
		str().from(3), // transactional id
		width(2),      // acks
		width(4),      // timeout
		arrayOf( // topics
			str().upTo(12), width(16).from(13), // name, later the id
			arrayOf(width(4), records()), // partition, batch
		),
	},
	1: { // Fetch
		width(4).upTo(14),                   // replica id
		width(4),                            // max wait
		width(4),                            // min bytes
		width(4).from(3),                    // max bytes
		width(1).from(4),                    // isolation level
		width(4).from(7),                    // session id
		width(4).from(7),                    // session epoch
		tag(0, str()).from(12),              // cluster id
		tag(1, width(4), width(8)).from(15), // replica state
		arrayOf( // topics
			str().upTo(12), width(16).from(13),
			arrayOf( // partitions
				width(4),                   // partition
				width(4).from(9),           // current leader epoch
				width(8),                   // offset
				width(4).from(12),          // last fetched epoch
				width(8).from(5),           // log start offset
				width(4),                   // max bytes
				tag(0, width(16)).from(17), // directory id
				tag(1, width(8)).from(18),  // high watermark
			),
		),
		arrayOf( // forgotten topics
			str().upTo(12), width(16).from(13),
			listOf(width(4)),
		).from(7),
		str().from(11), // rack
	},
	2: { // ListOffsets
		width(4),         // replica id
		width(1).from(2), // isolation level
		arrayOf( // topics
			str(),
			arrayOf( // partitions
				width(4),         // partition
				width(4).from(4), // current leader epoch
				width(8),         // timestamp
				width(4).upTo(0), // max offsets
			),
		),
		width(4).from(10), // timeout
	},
	3: { // Metadata
		arrayOf(width(16).from(10), str()), // topic id, name
		width(1).from(4),                   // allow auto creation
		width(1).from(8).upTo(10),          // cluster operations
		width(1).from(8),                   // topic operations
	},
	18: { // ApiVersions
		str().from(3),    // software name
		str().from(3),    // software version
		str().from(5),    // cluster id
		width(4).from(5), // node id
	},
	19: { // CreateTopics
		arrayOf( // topics
			str(),
			width(4),                            // partitions
			width(2),                            // replication factor
			arrayOf(width(4), listOf(width(4))), // assignments
			arrayOf(str(), str()),               // configs
		),
		width(4),         // timeout
		width(1).from(1), // validate only
	},
	20: { // DeleteTopics
		arrayOf(str(), width(16)).from(6),
		listOf(str()).upTo(5),
		width(4), // timeout
	},
	22: { // InitProducerId
		str(),            // transactional id
		width(4),         // transaction timeout
		width(8).from(3), // producer id
		width(2).from(3), // producer epoch
		width(1).from(6), // enable two-phase commit
		width(1).from(6), // keep prepared transaction
	},
	23: { // OffsetForLeaderEpoch
		width(4).from(3), // replica id
		arrayOf( // topics
			str(),
			arrayOf(width(4), width(4).from(2), width(4)), // partition, current epoch, epoch
		),
	},
	32: { // DescribeConfigs
		arrayOf(width(1), str(), listOf(str())), // type, name, keys
		width(1).from(1),                        // synonyms
		width(1).from(3),                        // documentation
	},
	35: { // DescribeLogDirs
		arrayOf(str(), listOf(width(4))), // topic, partitions
	},
	55: { // DescribeQuorum
		arrayOf(str(), arrayOf(width(4))), // topic, partitions
	},
	60: { // DescribeCluster
		width(1),         // cluster operations
		width(1).from(1), // endpoint type
		width(1).from(2), // fenced brokers
	},
	75: { // DescribeTopicPartitions
		arrayOf(str()),         // topics
		width(4),               // partition limit
		maybe(str(), width(4)), // cursor: topic, partition
	},
}
