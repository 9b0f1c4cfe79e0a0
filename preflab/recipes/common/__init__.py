"""What recipes are composed of: settings, the workbench of a model and its data, policy optimisation."""
