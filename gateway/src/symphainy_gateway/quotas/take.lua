-- Grants a tenant as many intents and control intents as there is room for; see counting.py.
-- KEYS[1] hash of the tenant: tokens, control, at (µs), and for each budget its period (how many)
-- and <period>_at (which hour, day or month).
-- ARGV: rate per s, burst, intents, controls, the most tokens and control tokens that may stand there
-- ('' for as many as there are), ms after which nothing is left to know; then for each budget:
-- period, limit, index of what follows, the least that counts, what is to be added.
-- Returns: intents and controls granted, tokens, control, time, then for each budget index and used.
local told = redis.call('TIME')
local seconds = tonumber(told[1])
local now = seconds * 1000000 + tonumber(told[2])
local rate, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local intents, controls = tonumber(ARGV[3]), tonumber(ARGV[4])

-- Source: Howard Hinnant, chrono-Compatible Low-Level Date Algorithms, civil_from_days.
local function month(s)
  local z = math.floor(s / 86400) + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524)
    - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local m = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (m <= 2 and 1 or 0)
  return year * 12 + m - 1
end

local function index(period)
  if period == 'hour' then return math.floor(seconds / 3600) end
  if period == 'day' then return math.floor(seconds / 86400) end
  return month(seconds)
end

local left, spent = intents, {}
for i = 8, #ARGV, 5 do
  local period, limit = ARGV[i], tonumber(ARGV[i + 1])
  local at, used = index(period), 0
  local known = redis.call('HMGET', KEYS[1], period, period .. '_at')
  if known[1] and tonumber(known[2]) >= at then at, used = tonumber(known[2]), tonumber(known[1]) end
  if tonumber(ARGV[i + 2]) == at then
    used = math.max(used, tonumber(ARGV[i + 3])) + tonumber(ARGV[i + 4])
  end
  left = math.min(left, math.max(0, limit - used))
  spent[#spent + 1] = {period, at, used}
end

local granted, granted_controls = left, controls
local tokens, control = burst, burst
local fields = {}
if rate > 0 then
  local known = redis.call('HMGET', KEYS[1], 'tokens', 'control', 'at')
  if known[3] then
    local at = tonumber(known[3])
    now = math.max(now, at)
    local come = (now - at) / 1000000 * rate
    tokens = math.min(burst, tonumber(known[1]) + come)
    control = math.min(burst, tonumber(known[2]) + come)
  end
  if ARGV[5] ~= '' then tokens = math.min(tokens, tonumber(ARGV[5])) end
  if ARGV[6] ~= '' then control = math.min(control, tonumber(ARGV[6])) end
  granted = math.min(granted, math.max(0, math.floor(tokens)))
  granted_controls = math.min(controls, math.max(0, math.floor(control)))
  tokens, control = tokens - granted, control - granted_controls
  fields = {'tokens', string.format('%.9f', tokens), 'control', string.format('%.9f', control),
    'at', string.format('%.0f', now)}
end

local answer = {granted, granted_controls, string.format('%.9f', tokens),
  string.format('%.9f', control), string.format('%.0f', now)}
for _, one in ipairs(spent) do
  local used = string.format('%.0f', one[3] + granted)
  fields[#fields + 1], fields[#fields + 2] = one[1], used
  fields[#fields + 1], fields[#fields + 2] = one[1] .. '_at', string.format('%.0f', one[2])
  answer[#answer + 1], answer[#answer + 2] = one[2], used
end
if #fields > 0 then
  redis.call('HSET', KEYS[1], unpack(fields))
  redis.call('PEXPIRE', KEYS[1], ARGV[7])
end
return answer
