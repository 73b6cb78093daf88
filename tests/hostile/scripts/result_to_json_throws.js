// expect: error
// message: from toJSON
({ toJSON() { throw new Error('from toJSON'); } });
