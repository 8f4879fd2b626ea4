--- A sentence encoder shared by tasks: embedding, bidirectional LSTM, and a pooling of its
-- outputs h_1 ... h_T; with "attention" by a query q of each task (Zheng et al. 2018):
-- a = softmax_t(h_t . q), sentence = sum_t a_t h_t.

local al = require "albedo"
local nn = require "albedo.nn"
local define = require "albedo.models.define"

local BiLSTM = nn.class "BiLSTM"

function BiLSTM:init(o)
  local hidden = o.wide(o.hidden)
  self.pool, self.tasks = o.pool, o.tasks
  self.embed = nn.Embedding(o.vocabulary, o.embedding)
  self.lstm = nn.LSTM(o.embedding, hidden, { num_layers = o.num_layers, bidirectional = true,
    dropout = o.num_layers > 1 and o.dropout or 0 })
  if o.pool == "attention" then
    self.query = nn.Parameter(al.randn(o.tasks, 2 * hidden) * 0.1)
  elseif o.pool ~= "mean" and o.pool ~= "max" then
    al.raise("bilstm: pool is attention, mean or max, got " .. tostring(o.pool))
  end
  self.dropout = nn.Dropout(o.dropout)
  if o.heads == "shared" then
    self.head = nn.Linear(2 * hidden, o.classes)
  else
    self.heads = nn.ModuleList()
    for _ = 1, o.tasks do self.heads:add(nn.Linear(2 * hidden, o.classes)) end
  end
end

-- (n, steps), true after the end of each sentence
local function ended(lengths, steps)
  return al.arange(1, steps):unsqueeze(1):gt(lengths:unsqueeze(2))
end

--- words (n, steps), labels from 1; lengths (n), steps of each sentence, all by default ->
-- sentences (n, 2 hidden) of a task (1 by default) and, with attention, the weights (n, steps).
function BiLSTM:encode(words, task, lengths)
  local h = self.lstm(self.dropout(self.embed(words)), { lengths = lengths })
  local steps = words.shape[2]
  local over = lengths and ended(lengths, steps)
  if self.pool == "max" then
    return (over and h:masked_fill(over:unsqueeze(3), -math.huge) or h):max(2)
  elseif self.pool == "mean" then
    return h:sum(2) / (lengths and lengths:to(h.dtype):unsqueeze(2) or steps)
  end
  local scores = h:matmul(self.query:select(1, task or 1))
  if over then scores = scores:masked_fill(over, -math.huge) end
  local weights = scores:softmax(2)
  return weights:unsqueeze(2):matmul(h):squeeze(2), weights
end

--- Scores (n, classes). opts: task = 1, lengths.
function BiLSTM:forward(words, opts)
  opts = opts or {}
  local sentence, weights = self:encode(words, opts.task, opts.lengths)
  local head = self.heads and self.heads[opts.task or 1] or self.head
  return head(self.dropout(sentence)), weights
end

--- bilstm(opts): net(words, { task, lengths }) -> scores (n, classes), attention weights (n,
-- steps). Options: vocabulary = 20000, embedding = 200, hidden = 100 (of each direction),
-- num_layers = 1, dropout = 0 (of words, sentences and between layers), pool = "attention",
-- "mean" or "max", tasks = 1, heads = "shared" or "task" (one a task), classes = 2, width,
-- weights, freeze.
return {
  bilstm = define("bilstm", BiLSTM, "^heads?%.", { vocabulary = 20000, embedding = 200,
    hidden = 100, num_layers = 1, dropout = 0, pool = "attention", tasks = 1, heads = "shared",
    classes = 2 }),
}
