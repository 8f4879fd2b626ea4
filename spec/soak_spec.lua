describe("a training that is killed", function()
  it("ends as the uninterrupted one: weights, figures (make soak: 20 kills)", function()
    if jit or os.getenv "ALBEDO_LIGHT" then return end -- `lua5.4` trains; the sanitizers are slow
    package.path = "spec/soak/?.lua;" .. package.path
    assert.equal(3, require "soak"(3, 60))
  end)
end)
