-- Applies a batch of journal records to the read model, once (rule 19).
-- KEYS[1] position hash; ARGV: expected offset ('' for none), new offset, term, seq, hash,
-- channel, changes (JSON or ''), commands (MessagePack array of arrays).
-- Returns 1 when applied, 0 when the position was not the expected one.
local at = redis.call('HGET', KEYS[1], 'offset') or ''
if at ~= ARGV[1] then return 0 end
for _, command in ipairs(cmsgpack.unpack(ARGV[8])) do
  if command[1] == 'STATUS' then
    local key, status, id, root, score = command[2], command[3], command[4], command[5], command[6]
    local old = redis.call('HGET', key, 'status')
    if old then
      local since = redis.call('ZSCORE', root .. old, id)
      if since then score = since end
      redis.call('ZREM', root .. old, id)
    end
    redis.call('ZADD', root .. status, score, id)
    redis.call('HSET', key, 'status', status)
  else
    redis.call(unpack(command))
  end
end
redis.call('HSET', KEYS[1], 'offset', ARGV[2], 'term', ARGV[3], 'seq', ARGV[4], 'hash', ARGV[5])
if ARGV[7] ~= '' then redis.call('PUBLISH', ARGV[6], ARGV[7]) end
return 1
