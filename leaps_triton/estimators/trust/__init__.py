"""Whether a number can be trusted: drift, where a chain may begin, tails of weights, warnings.

- :mod:`.cautions`: the warnings, given once at the line that asked.
- :mod:`.gamma`: autocovariance and window of the Γ-method, which the others rest on.
- :mod:`.drift`: the early and the late part of chains compared.
- :mod:`.beginning`: where chains have forgotten their start.
- :mod:`.tails`: how heavy the upper tail of weights is, and what few walkers carry.
"""
