"""What the API server admits in the namespace of runs: specs of ValidatingAdmissionPolicies, from the stack's settings.

Pure: no Pulumi and no network. The expressions are in CEL, the language in which the API server evaluates them.
"""
