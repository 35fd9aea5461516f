// Meteor's default; npm's meteor-client-side would look at http://localhost:3000.
__meteor_runtime_config__.DDP_DEFAULT_CONNECTION_URL ??= "/";
