// Package kubernetes stands in for Pulumi's Kubernetes SDK, of which the provider uses what is here. The SDK has a type for
// each kind of each version of Kubernetes, and compiling them takes most of the time of compiling the provider.
package kubernetes

import "reflect"

// UntypedArgs are the inputs of a resource whose kind is known at run time only.
type UntypedArgs map[string]any

// ElementType returns what the inputs become when all of them are known.
func (UntypedArgs) ElementType() reflect.Type { return reflect.TypeFor[map[string]any]() }
