-- 10: text. Shows: tokens, a vocabulary, sentences of different lengths in a batch, an LSTM
-- that reads both ways, and its attention word by word.
local al = require "albedo"
al.seed(3)
math.randomseed(3)

-- Reviews from a grammar: the verdict is in one word, the rest says nothing.
local good = { "good", "great", "fine", "lovely", "superb" }
local bad = { "bad", "poor", "dull", "awful", "weak" }
local fillers = { "the", "film", "was", "and", "a", "cast", "with", "music", "story", "scenes",
  "," }
local function review(label)
  local words = {}
  for i = 1, math.random(4, 12) do words[i] = fillers[math.random(#fillers)] end
  words[math.random(#words)] = (label == 2 and good or bad)[math.random(5)]
  return table.concat(words, " ")
end
local texts, labels = {}, {}
for i = 1, 400 do
  labels[i] = i % 2 + 1
  texts[i] = review(labels[i])
end
print(texts[1], labels[1])

-- Words and punctuation become numbers: 1 pads, 2 is unknown, then by falling frequency.
local words = al.io.vocabulary(texts)
print(("%d words; %s"):format(#words.words, table.concat(words.words, " ", 3, 8)))
local encoded, lengths = words:encode(texts)
print("encoded", table.concat(encoded.shape, "x"), "lengths of", lengths:min():item(), "to",
  lengths:max():item())

local set = al.data.tensors(encoded, lengths, al.tensor(labels, { dtype = "int64" }))
local train, test = al.data.split(set, { 0.75, 0.25 })

-- Padding is masked by the lengths: it changes nothing.
local net = al.models.bilstm { vocabulary = #words.words, embedding = 16, hidden = 16 }
local opt = al.optim.adamw(net:parameters(), { lr = 1e-2 })
local batches = al.data.loader(train, { batch = 50, shuffle = true })
for epoch = 1, 12 do
  local total = 0
  for x, n, y in batches() do
    local loss = net(x, { lengths = n }):cross_entropy(y)
    opt:zero_grad() loss:backward() opt:step()
    total = total + loss:item()
  end
  if epoch % 4 == 0 then print(("epoch %2d  loss %.3f"):format(epoch, total / #batches)) end
end

net:eval()
local right, count = 0, 0
for x, n, y in al.data.loader(test, { batch = 50 }) do
  local hit = al.no_grad(function() return net(x, { lengths = n }) end):argmax(2):eq(y)
  right, count = right + hit:sum():item(), count + #y
end
print(("right: %d of %d"):format(right, count))
assert(right / count > 0.9)

-- What it attended to; the LSTM reads both ways, so that a word's state knows its neighbours.
local sentence = "the music was lovely and the cast was with scenes"
local x, n = words:encode { sentence }
local scores, attention = al.no_grad(net, x, { lengths = n })
print(("%s: %s"):format(sentence, scores[1]:argmax():item() == 2 and "good" or "bad"))
for i, word in ipairs(al.io.tokens(sentence)) do
  local weight = attention[1][i]:item()
  print(("  %-8s %.2f %s"):format(word, weight, ("#"):rep(math.floor(weight * 40 + 0.5))))
end
