local al = require "albedo"

describe("models.adapted", function()
  it("puts adapter and head around a backbone, and trains as far as asked", function()
    for _, name in ipairs { "resnet18", "vgg11", "mobilenet_v2" } do
      al.seed(1)
      local net = al.models.adapted(name, { classes = 3, width = 0.125, adapter = true }):eval()
      local x = al.rand(2, 1, 128, 128)
      assert.same({ 2, net.wide }, net:features(x).shape)
      assert.same({ 2, 3 }, net(x).shape)
      net:only_last()
      local trains = { head = 0, adapter = 0, net = 0 }
      local all = 0
      for key, p in net:named_parameters() do
        local part = key:match "^%a+"
        if part == "net" then all = all + 1 end
        if p.requires_grad then trains[part] = trains[part] + 1 end
      end
      assert.is_true(trains.head == 2 and trains.adapter > 4, name)
      assert.is_true(trains.net > 0 and trains.net < all / 2 + 1, name)
    end
  end)

  it("without an adapter repeats one channel and shrinks", function()
    local net = al.models.adapted("resnet18", { width = 0.125, shrink = 2 }):eval()
    local x = al.rand(1, 1, 64, 64)
    local rgb = x:avg_pool2d(2):expand(1, 3, 32, 32)
    assert.is_true((net:features(x) - net.net(rgb)):abs():max():item() < 1e-5)
    assert.has_error(function() al.models.adapted "lenet" end)
  end)
end)
