"""What a handler becomes, a file for each kind of child: free functions of a resolved handler.

The objects hold every field that the operator means to own and no other, no null and no empty
map: what is sent is what the API server stores, so that an intent can be compared with what is
live.
"""
