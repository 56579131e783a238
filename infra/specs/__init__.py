"""What Prefect resources are: plain frozen data, shared by prefect.yaml's parser and the registration."""
