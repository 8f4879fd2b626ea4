-- Ops whose results are free in sign or order: what is compared instead of al[name].
return {}
