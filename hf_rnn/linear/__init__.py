"""The linear model beside the recurrence: how it is fitted and weighed; and the independent baselines of learning curves."""
