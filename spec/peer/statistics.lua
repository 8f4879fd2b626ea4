-- Ops that no reference answers for: name -> a function that returns true when all is well.
return {}
