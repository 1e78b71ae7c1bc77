-- Applies a batch of journal records to the read model, once (rule 19).
-- KEYS[1] position hash; ARGV: expected offset ('' for none), new offset, term, seq, hash,
-- intents_next and time of the last valid record ('' for none), channel,
-- changes (MessagePack array of [execution id, status, key of the document or '']),
-- commands (MessagePack array of arrays).
-- STARTED counts the versions of the execution's capabilities once more, ENDED once less. They are
-- counted beside the position, so that neither can be lost without the other; what was not counted
-- when it started is not when it ends. ENDED also notes what TRIM later takes out of the indexes,
-- as OVER does for a session, which stays for as long as something runs in it.
-- Publishes, if there are changes, a MessagePack array of [execution id, status, document]: the
-- document's fields and values in a row where a key was given, else an empty array.
-- Returns 1 when applied, 0 when the position was not the expected one.
local at = redis.call('HGET', KEYS[1], 'offset') or ''
if at ~= ARGV[1] then return 0 end
if at == '' then redis.call('HSET', KEYS[1], 'counts_versions', '1') end
local FIVE = '^(.*)|(.*)|(.*)|(.*)|(.*)$'
local function count(key, by)
  for version in string.gmatch(redis.call('HGET', key, 'versions'), '[^"%[%],]+') do
    local field = 'live:' .. version
    if redis.call('HINCRBY', KEYS[1], field, by) <= 0 then redis.call('HDEL', KEYS[1], field) end
  end
end
local function leave(ended, root, session, tenant, member, now)
  if redis.call('EXISTS', root .. 'run:' .. session) == 1 then
    redis.call('ZADD', ended, now, member)
    return
  end
  redis.call('ZREM', ended, member)
  if redis.call('HGET', root .. 'ses:' .. session, 'status') == 'open' then return end -- once more
  redis.call('DEL', root .. 'ses:' .. session)
  redis.call('ZREM', root .. 'idx:own:' .. tenant, session)
end
for _, command in ipairs(cmsgpack.unpack(ARGV[10])) do
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
  elseif command[1] == 'STARTED' then
    redis.call('HSET', command[2], 'versions', command[3], 'live', '1')
    count(command[2], 1)
  elseif command[1] == 'ENDED' then
    local key, ended, at = command[2], command[3], command[4]
    local id, session, status, tenant = command[5], command[6], command[7], command[8]
    if redis.call('HDEL', key, 'live') == 1 then count(key, -1) end
    local head = redis.call('HGET', key, 'head')
    if head then
      local asked = cjson.decode(head)['intent_type']
      redis.call('ZADD', ended, at, table.concat({id, session, status, asked, tenant}, '|'))
    end
  elseif command[1] == 'OVER' then
    local ended, at, session, tenant = command[2], command[3], command[4], command[5]
    redis.call('ZADD', ended, at, table.concat({'', session, '', '', tenant}, '|'))
  elseif command[1] == 'TRIM' then
    local ended, root, expired, most, now = command[2], command[3], command[4], command[5], command[6]
    local gone = redis.call('ZRANGEBYSCORE', ended, '-inf', expired, 'WITHSCORES', 'LIMIT', 0, most)
    for i = 1, #gone, 2 do
      local id, session, status, asked, tenant = string.match(gone[i], FIVE)
      if id == '' then
        leave(ended, root, session, tenant, gone[i], now)
      else
        redis.call('ZREM', root .. 'idx:ses:' .. tenant .. ':' .. session, id)
        redis.call('ZREM', root .. 'idx:ten:' .. tenant, id)
        redis.call('ZREM', root .. 'idx:typ:' .. tenant .. ':' .. asked, id)
        redis.call('ZREM', root .. 'idx:sta:' .. tenant .. ':' .. status, id)
        redis.call('ZREM', ended, gone[i])
        redis.call('HSET', KEYS[1], 'trimmed', gone[i + 1])
      end
    end
  else
    redis.call(unpack(command))
  end
end
redis.call('HSET', KEYS[1], 'offset', ARGV[2], 'term', ARGV[3], 'seq', ARGV[4], 'hash', ARGV[5],
  'intents_next', ARGV[6], 'at', ARGV[7])
local changes = cmsgpack.unpack(ARGV[9])
if #changes > 0 then
  for _, change in ipairs(changes) do
    change[3] = change[3] ~= '' and redis.call('HGETALL', change[3]) or {}
  end
  redis.call('PUBLISH', ARGV[8], cmsgpack.pack(changes))
end
return 1
