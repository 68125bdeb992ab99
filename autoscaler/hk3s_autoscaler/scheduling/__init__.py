"""May this pod run on that node? The rules of kube-scheduler as pure functions over `model`."""
