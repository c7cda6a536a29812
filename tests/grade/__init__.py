"""The gateway's headers in the judgement of others: MDN's HTTP Observatory and Google's csp_evaluator."""
